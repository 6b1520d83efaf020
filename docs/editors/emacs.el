(require 'lsp-mode)
(require 'lsp-inline-completion)
(lsp-register-client
 (make-lsp-client :new-connection (lsp-stdio-connection '("incoder" "lsp"))
                  :activation-fn (lambda (&rest _) t)
                  :add-on? t
                  :server-id 'incoder))
(setq lsp-inline-completion-idle-delay 0.2)
(define-key lsp-inline-completion-active-map (kbd "TAB") #'lsp-inline-completion-accept)
(add-hook 'prog-mode-hook #'lsp-deferred)
