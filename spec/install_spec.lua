-- `cmake --install`: what ends up where, used from there and from nowhere else.

local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"

local EVENTS = '{"type":"a","key":"k","value":1.10,"headers":{"operation":"insert"}}\n'

-- The sanitizers' runtime would have to come first in a program that does not have it.
local describe_unless_sanitized = paths.sanitized and pending or describe

describe_unless_sanitized("an installed weir", function()
  local prefix

  setup(function()
    prefix = tmp.dir()
    local done = process.run { cmd = { "cmake", "--install", paths.build, "--prefix", prefix } }
    assert.equal(0, done.code, done.stderr)
  end)

  it("has the program", function()
    local done = process.run { cmd = { prefix .. "/bin/weir", "state", "-" }, stdin = EVENTS }
    assert.equal('{"a":{"k":1.10}}\n', done.stdout)
  end)

  it("has the Lua module", function()
    local done = process.run {
      cmd = { "lua5.4", "-e", 'print(require("weir").version)' },
      env = { LUA_CPATH = prefix .. "/lib/lua/5.4/?.so", LUA_PATH = prefix .. "/share/lua/5.4/?.lua" },
    }
    assert.matches("^%d+%.%d+%.%d+\n$", done.stdout, done.stderr)
  end)

  it("has the annotations for editors", function()
    local installed = tmp.read(prefix .. "/share/weir/types/weir.lua")
    assert.equal(tmp.read(paths.root .. "/types/weir.lua"), installed)
  end)

  it("has a library that a C program finds by pkg-config", function()
    local dir = tmp.dir()
    local example = tmp.read(paths.root .. "/docs/operations.md"):match "\n```c\n(.-)\n```\n"
    tmp.write(dir .. "/embed.c", example)
    tmp.write(dir .. "/events.jsonl", EVENTS)
    tmp.write(dir .. "/w.lua", 'require("weir").stream { url = "events.jsonl" }')
    local found = process.run { cmd = { "find", prefix, "-name", "weir.pc" } }.stdout
    local libdir = found:match "^(.*)/weir%.pc"
    local done = process.run {
      cmd = { "sh", "-c", "cc -Wall -Werror -o embed embed.c $(pkg-config --cflags --libs weir) && ./embed w.lua" },
      cwd = dir,
      env = { PKG_CONFIG_PATH = libdir, LD_LIBRARY_PATH = libdir:gsub("/pkgconfig$", "") },
    }
    assert.equal("", done.stderr)
    assert.equal("a/k: 1.10\n", done.stdout)
  end)
end)
