local serve = require "bench.lib.serve"

return {
  title = "the same with files, each append on the disk before it is answered",
  prepare = function(settings)
    return serve.appending(settings, {files = true, counts = {weir = 60000, reference = 2000}, at_least = 20})
  end,
}
