-- Starts busted in the interpreter that runs this file, whichever `lua` is on the path.
require "busted.runner"({standalone = false})
