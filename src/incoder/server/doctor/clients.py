"""The clients: what to write into whose settings, and the request that each one sends.

Data only; `{url}`, `{model}` and so on are filled in by `settings_text`. `incoder doctor`, the lines that
`incoder serve` prints at its start, and docs/clients.md have their settings from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

PREFIX, SUFFIX = "def add(a, b):\n    return ", "\n"
_QWEN = f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>"
_QWEN_JOINED = _QWEN.replace("<|", "<\u200d|")  # as pydantic-ai sends it
ALIAS = "qwen2.5-coder:incoder"

Answer = Literal["text", "content", "response", "message"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client. `path` is that of its own request, `url_path` that of the URL in its settings.

    `where` is the place of the settings, `settings` their text. `body` is the request that it really sends;
    the value of `model` is replaced by the served model unless it is an alias. `answer` names the field that
    the client reads. `key` says how the client is given a key.
    """

    name: str
    title: str
    where: str
    settings: str
    url_path: str
    path: str
    body: Mapping[str, Any]
    answer: Answer
    key: str = ""
    streams: bool = False
    note: str = ""


def settings_text(client: Client, base: str, model: str = "mini") -> str:
    """Return the settings of a client for the server at this base URL, ready to paste.

    >>> settings_text(find_client("llama.vim"), "http://127.0.0.1:8012")
    "let g:llama_config = {'endpoint_fim': 'http://127.0.0.1:8012/infill'}"
    """
    return client.settings.replace("{url}", base + client.url_path).replace("{model}", model)


def find_client(name: str) -> Client:
    """Return the client of this name, whatever its case.

    Raises:
        KeyError: there is no such client.
    """
    return _BY_NAME[name.lower()]


def client_names() -> list[str]:
    """Return the names of all clients.

    >>> "zed" in client_names()
    True
    """
    return [client.name for client in CLIENTS]


CLIENTS = (
    Client(
        name="llama.vim",
        title="llama.vim (Vim, Neovim)",
        where="vimrc or init.vim, before the plugin is loaded",
        settings="let g:llama_config = {'endpoint_fim': '{url}'}",
        url_path="/infill",
        path="/infill",
        body={
            "id_slot": 0,
            "input_prefix": "def add(a, b):\n",
            "input_suffix": SUFFIX,
            "input_extra": [{"text": "x = 1\n", "time": [1, 2], "filename": "other.py"}],
            "prompt": "    return ",
            "n_predict": 16,
            "stop": [],
            "n_indent": 4,
            "top_k": 40,
            "top_p": 0.9,
            "samplers": ["top_k", "top_p", "infill"],
            "stream": False,
            "cache_prompt": True,
            "t_max_prompt_ms": 500,
            "t_max_predict_ms": 1000,
            "response_fields": ["content", "timings/prompt_n", "timings/predicted_ms", "tokens_cached"],
            "model": "",
        },
        answer="content",
        key="'api_key': 'KEY' in g:llama_config",
    ),
    Client(
        name="llama.vscode",
        title="llama.vscode (VS Code)",
        where="settings.json",
        settings='"llama-vscode.endpoint": "{url}"',
        url_path="",
        path="/infill",
        body={
            "id_slot": 0,
            "input_prefix": "def add(a, b):\n",
            "input_suffix": SUFFIX,
            "input_extra": [],
            "prompt": "    return ",
            "n_predict": 16,
            "n_cmpl": 3,
            "top_k": 40,
            "top_p": 0.99,
            "stream": False,
            "samplers": ["top_k", "top_p", "infill"],
            "cache_prompt": True,
            "t_max_prompt_ms": 500,
            "t_max_predict_ms": 2500,
        },
        answer="content",
        key='"llama-vscode.api_key": "KEY"',
    ),
    Client(
        name="minuet",
        title="minuet-ai.nvim (Neovim)",
        where="init.lua",
        settings=(
            "require('minuet').setup {\n"
            "  provider = 'openai_fim_compatible',\n"
            "  provider_options = {\n"
            "    openai_fim_compatible = {\n"
            "      name = 'InCoder', end_point = '{url}', model = '{model}',\n"
            "      api_key = 'TERM', -- the NAME of an environment variable, which must be set\n"
            "      optional = { max_tokens = 64 },\n"
            "    },\n"
            "  },\n"
            "}"
        ),
        url_path="/v1/completions",
        path="/v1/completions",
        body={"model": "{model}", "prompt": PREFIX, "suffix": SUFFIX, "stream": True, "max_tokens": 16},
        answer="text",
        streams=True,
        key="api_key = the name of the environment variable with the key",
    ),
    Client(
        name="zed",
        title="Zed, provider open_ai_compatible_api",
        where="settings.json",
        settings=(
            '"edit_predictions": {\n'
            '  "provider": "open_ai_compatible_api",\n'
            '  "open_ai_compatible_api": {\n'
            f'    "api_url": "{{url}}", "model": "{ALIAS}", "max_output_tokens": 64\n'
            "  }\n"
            "}"
        ),
        url_path="/v1/completions",
        path="/v1/completions",
        body={"model": ALIAS, "prompt": _QWEN, "max_tokens": 16, "stop": ["<|endoftext|>"]},
        answer="text",
        key="ZED_OPEN_AI_COMPATIBLE_EDIT_PREDICTION_API_KEY in the environment, or in Zed's settings page",
        note="Zed wants the full URL, with its path; with a base URL it silently shows nothing.",
    ),
    Client(
        name="zed-ollama",
        title="Zed, provider ollama",
        where="settings.json",
        settings=(
            '"edit_predictions": {\n'
            '  "provider": "ollama",\n'
            f'  "ollama": {{"api_url": "{{url}}", "model": "{ALIAS}", "max_output_tokens": 64}}\n'
            "}"
        ),
        url_path="",
        path="/api/generate",
        body={
            "model": ALIAS,
            "prompt": _QWEN,
            "raw": True,
            "stream": False,
            "options": {"num_predict": 16, "temperature": 0.2, "stop": ["<|endoftext|>"]},
        },
        answer="response",
        note="This provider sends no key; on a server with keys, use the other one.",
    ),
    Client(
        name="continue",
        title="Continue (VS Code, JetBrains)",
        where="~/.continue/config.yaml",
        settings=(
            "models:\n"
            "  - name: InCoder\n"
            "    provider: mistral\n"
            "    model: {model}\n"
            "    apiBase: {url}\n"
            "    apiKey: none\n"
            "    roles: [autocomplete]"
        ),
        url_path="/v1/",
        path="/v1/fim/completions",
        body={
            "model": "{model}",
            "prompt": PREFIX,
            "suffix": SUFFIX,
            "max_tokens": 16,
            "temperature": 0.01,
            "stop": ["\n\n"],
            "stream": True,
        },
        answer="message",
        streams=True,
        key="apiKey: KEY",
    ),
    Client(
        name="cellsense",
        title="CellSense (JupyterLab)",
        where="JupyterLab's settings of CellSense",
        settings=f"provider openai_compatible, base URL {{url}}, model {ALIAS}, model family qwen2.5-coder",
        url_path="",
        path="/v1/completions",
        body={
            "model": ALIAS,
            "prompt": "\n<|file_sep|>notebook.ipynb\n" + _QWEN,
            "stop": [*("<|endoftext|>", "<|file_sep|>", "<|fim_pad|>") * 4, "\n\n\n"],
            "max_tokens": 16,
            "temperature": 0,
            "stream": True,
        },
        answer="text",
        streams=True,
        key="its field for the API key",
        note="The base URL has no /v1: CellSense adds it itself.",
    ),
    Client(
        name="marimo",
        title="marimo",
        where="marimo.toml, or marimo's user settings",
        settings=(
            "[completion]\n"
            'copilot = "custom"\n'
            "[ai.models]\n"
            'autocomplete_model = "incoder/{model}"\n'
            "[ai.custom_providers.incoder]\n"
            'base_url = "{url}"\n'
            'api_key = "none"'
        ),
        url_path="/v1",
        path="/v1/chat/completions",
        body={
            "model": "{model}",
            "messages": [
                {"role": "system", "content": "You are a code completion assistant."},
                {"role": "user", "content": _QWEN_JOINED},
            ],
            "max_completion_tokens": 16,
            "stream": False,
        },
        answer="message",
        key='api_key = "KEY"',
    ),
    Client(
        name="cmp-ai",
        title="cmp-ai (Neovim), and others that speak to Ollama",
        where="init.lua",
        settings=(
            "require('cmp_ai.config'):setup {\n"
            "  provider = 'Ollama',\n"
            "  provider_options = {\n"
            "    base_url = '{url}', model = '{model}',\n"
            "    prompt = function(before) return before end,\n"
            "    suffix = function(after) return after end,\n"
            "  },\n"
            "}"
        ),
        url_path="/api/generate",
        path="/api/generate",
        body={
            "model": "{model}",
            "prompt": PREFIX,
            "suffix": SUFFIX,
            "keep_alive": "5m",
            "stream": False,
            "options": {"temperature": 0.2, "num_predict": 16},
        },
        answer="response",
        note="Ollama's clients send no key; on a server with keys they cannot be used.",
    ),
    Client(
        name="tabby",
        title="Tabby's extensions",
        where="~/.tabby-client/agent/config.toml",
        settings='[server]\nendpoint = "{url}"\ntoken = ""',
        url_path="",
        path="/v1/completions",
        body={
            "language": "python",
            "segments": {"prefix": PREFIX, "suffix": SUFFIX, "filepath": "add.py"},
            "temperature": 0.1,
            "mode": "standard",
        },
        answer="text",
        key='token = "KEY"',
    ),
    Client(
        name="openai-python",
        title="openai-python",
        where="a program",
        settings=(
            'client = openai.OpenAI(base_url="{url}", api_key="none")\n'
            'client.completions.create(model="{model}", prompt="x = ", suffix="\\n", max_tokens=32)'
        ),
        url_path="/v1",
        path="/v1/completions",
        body={"model": "{model}", "prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 16},
        answer="text",
        key='api_key="KEY"',
    ),
)

_BY_NAME = {client.name: client for client in CLIENTS}
