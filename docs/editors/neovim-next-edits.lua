-- sidekick.nvim asks the language servers whose name has "copilot" in it.
vim.lsp.config('incoder_copilot', { cmd = { 'incoder', 'lsp' }, root_markers = { '.git' } })
vim.lsp.enable('incoder_copilot')
require('sidekick').setup({ nes = { enabled = true } })
vim.keymap.set('n', '<Tab>', function()
  if not require('sidekick').nes_jump_or_apply() then
    return '<Tab>'
  end
end, { expr = true, desc = 'Jump to the next edit, or apply it' })
