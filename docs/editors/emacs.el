(require 'lsp-mode)
(require 'lsp-inline-completion)
(lsp-register-client
 (make-lsp-client :new-connection (lsp-stdio-connection '("incoder" "lsp"))
                  :activation-fn (lambda (&rest _) t)
                  :add-on? t
                  :server-id 'incoder))
(add-hook 'prog-mode-hook #'lsp-deferred)
(add-hook 'lsp-mode-hook #'lsp-inline-completion-mode)
