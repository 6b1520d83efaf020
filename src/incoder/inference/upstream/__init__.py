"""A model on servers that speak OpenAI's completions: vLLM, llama-cpp-python, another `incoder serve`."""
