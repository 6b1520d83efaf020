" Before the plugin is loaded. It asks http://127.0.0.1:8012/infill unless it is given another URL.
let g:llama_config = {'endpoint_fim': 'http://127.0.0.1:8012/infill'}
