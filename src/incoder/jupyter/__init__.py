"""The `%%infill` and `%infill` magics of IPython and Jupyter: `%load_ext incoder.jupyter`."""

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Register the magics in this IPython shell; `%load_ext incoder.jupyter` calls it."""
    from incoder.jupyter.magics import InfillMagics

    magics = InfillMagics(shell)
    shell.register_magics(magics)
    shell.events.register("post_run_cell", magics.earlier_cells.after_cell)
