#!/bin/sh
# Fetches the clients of the tests in tests/server/clients and tests/language_server/clients into a folder:
#
#     scripts/clients.sh DIR
#     INCODER_TEST_CLIENTS=DIR INCODER_TEST_PLUGINS=PLUGINS python -m pytest -m clients
#
# DIR/sid    Debian sid with Vim, Neovim and Emacs: needs root and debootstrap, and about 1 GB
# DIR/venv   clients from PyPI: marimo, JupyterLab with CellSense, lm-evaluation-harness, libraries
# DIR/npm    client libraries from npm: needs npm
#
# What is there already is kept, and what cannot be fetched is said and left out. No registry has the editors'
# plugins: PLUGINS is a folder with checkouts of them.
#
#     llama.vim        https://github.com/ggml-org/llama.vim        a1c8e6e40cb45df59b78add5b65d575386832465
#     minuet-ai.nvim   https://github.com/milanglacier/minuet-ai.nvim   479487c34041f53aad3184597428e42d9f3333b5
#     sidekick.nvim    https://github.com/folke/sidekick.nvim       8ad0ede3ff9065878a853e4b037ba6ac88231fb0
set -eu

[ $# -eq 1 ] || { echo "usage: scripts/clients.sh DIR" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

left_out() {
    echo "left out: $1" >&2
}

editors() {
    if [ -x "$folder/sid/usr/bin/vim" ]; then
        return
    elif [ "$(id -u)" -ne 0 ]; then
        left_out "the editors (run this as root)"
    elif ! command -v debootstrap >/dev/null; then
        left_out "the editors (install debootstrap)"
    else
        # Into another folder first: a folder that was left half-made is not taken for a whole one.
        rm -rf --one-file-system "$folder/sid.new"
        debootstrap --variant=minbase \
            --include=vim-nox,neovim,curl,git,python3,ca-certificates sid "$folder/sid.new" "$mirror" >&2
        DEBIAN_FRONTEND=noninteractive chroot "$folder/sid.new" \
            apt-get install --yes --no-install-recommends emacs-nox elpa-lsp-mode >&2
        mv "$folder/sid.new" "$folder/sid"
    fi
}

python_clients() {
    [ -x "$folder/venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$folder/venv"
    # CellSense needs pydantic, but its wheel does not say so.
    "$folder/venv/bin/python" -m pip install --quiet \
        marimo pydantic-ai-slim jupyterlab jupyterlab-cellsense pydantic 'lm-eval[api]' openai ollama mistralai
}

node_clients() {
    if command -v npm >/dev/null; then
        npm install --prefix "$folder/npm" --silent --no-audit --no-fund ollama openai
    else
        left_out "the libraries from npm (install Node.js)"
    fi
}

editors
python_clients
node_clients
echo "The clients are in $folder."
