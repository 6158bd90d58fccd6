-- Keeps README.md and docs/ true: what they show is run, and has to do what they say.
--
-- A page is played from top to bottom in a folder of its own. What happens with a fenced block depends on its
-- language, and on an HTML comment in the line before it (which readers do not see):
--
--   ```console             a transcript: the lines with "$ " are run (one shell for the block), what they print on
--                          both streams must be what the block shows. A line "..." stands for any lines.
--   <!-- run: COMMAND -->  runs this in the place of the block's only command.
--   <!-- keeps running --> the command goes on while the rest of the page is played; its lines must come.
--   <!-- goes on -->       ```text: lines that the one that was started last prints next.
--   ```lua                 must load in weir (weir check). With comments "--> text", or without a stream, it is run
--                          in plain Lua, and must print these. Without `require "weir"`, weir, s and room are given.
--   ```json                must be JSON, as a whole or line by line.
--   ```sh                  must be shell, and what it asks of weir must exist; it is not run.
--   <!-- file: NAME -->    whatever the language: the block is that file, in the page's folder.
--   <!-- not run -->       nothing but the checks of form.
--   <!-- server -->        on a line of its own: a reference server runs while the page is played.
--
-- Pages say port 4437; here it is whichever port is free. Times and offsets of the moment are not compared.

local paths = require "support.paths"
local ports = require "support.ports"
local process = require "support.process"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"

local function list(command)
  local pipe = assert(io.popen("cd " .. process.quote(paths.root) .. " && " .. command))
  local lines = {}
  for line in pipe:lines() do
    lines[#lines + 1] = line
  end
  pipe:close()
  return lines
end

local PAGES = list "ls README.md CHANGELOG.md docs/*.md docs/*/*.md"

local function read(path)
  return assert(tmp.read(paths.root .. "/" .. path), path)
end

---------------------------------------------------------------------------------------------------------------
-- Markdown

--- The fenced blocks of a page: {lang, text, line (number), plus each directive = its argument or true}.
local function blocks_of(text)
  local blocks, directives, block, number = {}, {}, nil, 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local directive, argument = line:match("^<!%-%- ([%l ]+):? ?(.-) ?%-%->$")
    if block then
      if line == "```" then
        blocks[#blocks + 1], block = block, nil
      else
        block.text = block.text .. line .. "\n"
      end
    elseif directive then
      directive = directive:gsub(" $", "")
      directives[directive] = argument ~= "" and argument or true
    elseif line:match("^```") then
      block = {lang = line:match("^```(%w*)$") or line, text = "", line = number}
      for name, value in pairs(directives) do
        block[name] = value
      end
      directives = {}
    elseif line ~= "" then
      directives = {}
    end
  end
  assert(not block, "a block is not closed")
  return blocks
end

--- The commands of a transcript, each with the lines it is to print.
local function steps_of(text)
  local steps = {}
  for line in text:gmatch("(.-)\n") do
    local step = steps[#steps]
    if line:match("^%$ ") then
      steps[#steps + 1] = {command = line:sub(3), output = ""}
    elseif line:match("^> ") and step and step.output == "" then
      step.command = step.command .. "\n" .. line:sub(3)
    else
      assert(step, "a transcript must begin with a command")
      step.output = step.output .. line .. "\n"
    end
  end
  return steps
end

-- What differs from one run to the next.
local function steady(text)
  local digits = ("%d"):rep(16)
  return (text:gsub("%d+%-%d+%-%d+T[%d:]+%.%d+Z (%l+)", "TIME %1")
    :gsub('("time%a*":)"[^"]*"', '%1"TIME"')
    :gsub(digits .. "_" .. digits, "OFFSET")
    :gsub("seconds=[%d.]+", "seconds=N")
    :gsub("snapshot of [%dT:-]+Z", "snapshot of TIME")
    :gsub("entities, [%d.]+ MB, [%d.]+ ms", "entities, N MB, N ms")
    :gsub("trying again in [%d.]+ s", "trying again in N s")
    :gsub("(weir%.%l+):%d+:", "%1:N:"))
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

--- Whether `actual` is what `expected` shows; with `open`, more may follow.
local function is_shown(expected, actual, open)
  local want, have = lines_of(steady(expected)), lines_of(steady(actual))
  local function from(i, j)
    while i <= #want do
      if want[i] == "..." then
        for k = j, #have + 1 do
          if from(i + 1, k) then
            return true
          end
        end
        return false
      elseif want[i] ~= have[j] then
        return false
      end
      i, j = i + 1, j + 1
    end
    return open or j > #have
  end
  return from(1, 1)
end

---------------------------------------------------------------------------------------------------------------
-- Playing a page

local Page = {}
Page.__index = Page

local function open_page(path)
  local self = setmetatable({text = read(path), dir = tmp.dir(), running = {}}, Page)
  local bin = tmp.dir()
  local lua = paths.lua
  tmp.write(bin .. "/weir", "#!/bin/sh\nexec " .. process.quote(paths.weir) .. ' "$@"\n')
  if lua ~= "lua5.4" then
    tmp.write(bin .. "/lua5.4", "#!/bin/sh\nexec " .. process.quote(lua) .. ' "$@"\n')
  end
  os.execute("chmod +x " .. bin .. "/*")
  os.execute(("ln -s %s/scripts %s/node_modules %s"):format(paths.root, paths.spec, self.dir))
  self.env = {PATH = bin .. ":" .. os.getenv("PATH"), NO_COLOR = "1"}
  for name, value in pairs(paths.lua_env) do
    self.env[name] = value
  end
  if self.text:find("\n<!-- server -->\n", 1, true) then
    self.node = server.start()
    self.port = self.node.port
  elseif self.text:find("4437", 1, true) then
    self.port = ports.free()
  end
  return self
end

function Page:close()
  for i = #self.running, 1, -1 do
    self.running[i].child:kill()
  end
  if self.node then
    self.node:stop()
  end
end

--- Text of the page as it is to be run, and what came out as the page would show it.
function Page:inward(text)
  return self.port and text:gsub("4437", tostring(self.port)) or text
end

function Page:outward(text)
  return self.port and text:gsub("127%.0%.0%.1:" .. self.port, "127.0.0.1:4437") or text
end

function Page:run(cmd)
  return process.run{cmd = cmd, cwd = self.dir, env = self.env}
end

local MARK = "\1step\1\n"

--- Runs the steps in one shell and returns what each printed.
function Page:outputs(steps)
  local script = {"exec 2>&1", "code=0"}
  for _, step in ipairs(steps) do
    script[#script + 1] = "printf '%s' '" .. MARK .. "'\n(exit $code)\n" .. self:inward(step.command) .. "\ncode=$?"
  end
  local done = self:run{"sh", "-c", table.concat(script, "\n")}
  local outputs, at = {}, 1
  assert(done.stdout:sub(1, #MARK) == MARK, done.stdout)
  for _ in ipairs(steps) do
    local from = at + #MARK
    at = done.stdout:find(MARK, from, true) or #done.stdout + 1
    outputs[#outputs + 1] = self:outward(done.stdout:sub(from, at - 1))
  end
  return outputs
end

function Page:transcript(block)
  local steps = steps_of(block.text)
  if block.run then
    assert(#steps == 1)
    steps[1].command = block.run
  end
  for i, output in ipairs(self:outputs(steps)) do
    if output ~= "" and output:sub(-1) ~= "\n" then
      output = output .. "\n"
    end
    if not is_shown(steps[i].output, output) then
      error(("%s\nshows:\n%s\nprints:\n%s"):format(steps[i].command, steps[i].output, output), 0)
    end
  end
end

function Page:wait_for(running, text)
  running.shown = running.shown .. text
  wait.till(function()
    return is_shown(running.shown, self:outward(running.child:stdout()), true)
  end, nil, function()
    return ("these lines:\n%s\nof these:\n%s"):format(running.shown, running.child:stdout())
  end)
end

function Page:start(block)
  local steps = steps_of(block.text)
  assert(#steps == 1, "one program at a time")
  local cmd = {"sh", "-c", "exec 2>&1; exec " .. self:inward(steps[1].command)}
  local running = {child = process.spawn{cmd = cmd, cwd = self.dir, env = self.env, timeout = process.LIFE}, shown = ""}
  self.running[#self.running + 1] = running
  self:wait_for(running, steps[1].output)
end

function Page:goes_on(block)
  self:wait_for(self.running[#self.running], block.text)
end

function Page:file(block)
  return tmp.write(self.dir .. "/" .. (block.file or ("line-%d.%s"):format(block.line, block.lang)),
    self:inward(block.text))
end

local PRELUDE = [[local weir = require "weir"; local s = weir.schema; local room = weir.stream { url = "room.jsonl" } ]]

function Page:lua(block)
  local text = block.text
  if not text:find('require "weir"', 1, true) then
    text = PRELUDE .. text
  end
  assert(load(text, "=line " .. block.line))
  local path = self:file{line = block.line, lang = "lua", file = block.file, text = text}
  if block["not run"] then
    return
  elseif text:find("weir.stream", 1, true) and not text:find("-->", 1, true) then
    local done = self:run{"weir", "check", path}
    assert.equal(0, done.code, done.stderr)
    return
  end
  local expected = {}
  for line in text:gmatch("%-%-> ([^\n]*)") do
    expected[#expected + 1] = line
  end
  local done = self:run{"lua5.4", path}
  assert.equal(0, done.code, done.stderr)
  assert.same(expected, lines_of((done.stdout:gsub("\t", "  "))))
end

local JSON_CHECK = [[
  local weir = require "weir"
  local text = assert(io.open(arg[1])):read("a")
  if not pcall(weir.json.decode, text) then
    for line in text:gmatch("[^\n]+") do
      weir.json.decode(line)
    end
  end
]]

function Page:json(block)
  local done = self:run{"lua5.4", tmp.file("check.lua", JSON_CHECK), self:file(block)}
  assert.equal(0, done.code, done.stderr)
end

---------------------------------------------------------------------------------------------------------------
-- The form of commands

local helps = {}

local function help(command)
  helps[command] = helps[command] or process.run{cmd = {paths.weir, "help", command ~= "" and command or nil}}
  return helps[command]
end

--- Every `weir COMMAND --option` in shell text must be one that weir's help knows.
local function check_commands(text)
  for arguments in (" " .. text:gsub("\\\n", " ")):gmatch("[%s/]weir +([^\n|;&#]+)") do
    local command = arguments:match("^(%l+)")
    if command then
      assert.equal(0, help(command).code, "weir " .. arguments)
      for option in arguments:gmatch("%s(%-%-[%l-]+)") do
        assert.is_truthy(help(command).stdout:find(option, 1, true), "weir " .. arguments .. ": " .. option)
      end
    end
  end
end

local function check_shell(text)
  local done = process.run{cmd = {"sh", "-n", tmp.file("block.sh", text)}}
  assert.equal(0, done.code, done.stderr)
  check_commands(text)
end

local function play(page, block)
  if block.lang == "console" then
    local commands = {}
    for _, step in ipairs(steps_of(block.text)) do
      commands[#commands + 1] = step.command
    end
    check_shell(table.concat(commands, "\n") .. "\n")
    if block["keeps running"] then
      page:start(block)
    elseif not block["not run"] then
      page:transcript(block)
    end
  elseif block.lang == "lua" then
    page:lua(block)
  elseif block.lang == "json" then
    page:json(block)
  elseif block.lang == "sh" then
    check_shell(block.text)
  elseif block["goes on"] then
    page:goes_on(block)
  elseif block.file then
    page:file(block)
  else
    assert.is_truthy(({text = true, ini = true, c = true, sql = true, [""] = true})[block.lang],
      "a block in a language that nobody checks: " .. block.lang)
  end
end

for _, path in ipairs(PAGES) do
  describe(path, function()
    local page

    setup(function()
      page = open_page(path)
    end)

    teardown(function()
      page:close()
    end)

    for _, block in ipairs(blocks_of(read(path))) do
      local label = block.lang .. (block.file and " " .. block.file or "")
      it(("line %d: %s"):format(block.line, label), function()
        play(page, block)
      end)
    end
  end)
end

---------------------------------------------------------------------------------------------------------------
-- Links, and what must be mentioned somewhere

--- The names that a heading can be linked by.
local function anchors_of(text)
  local anchors = {}
  for heading in ("\n" .. text):gmatch("\n#+ ([^\n]+)") do
    local slug = heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-")
    anchors[slug] = true
  end
  return anchors
end

describe("links", function()
  for _, path in ipairs(PAGES) do
    it("of " .. path .. " lead somewhere", function()
      local text = read(path):gsub("\n```.-\n```", "")
      for target in text:gmatch("%]%(([^)%s]+)%)") do
        if not target:match("^https?://") then
          local file, anchor = target:match("^([^#]*)#?(.*)$")
          local folder = path:match("^(.*/)") or ""
          local resolved = file == "" and path or folder .. file
          assert.equal(0, process.run{cmd = {"test", "-e", paths.root .. "/" .. resolved}}.code, target)
          if anchor ~= "" then
            assert.is_true(anchors_of(read(resolved))[anchor], target)
          end
        end
      end
    end)
  end
end)

describe("docs/lua-reference.md", function()
  local text = read "docs/lua-reference.md"

  local function mentions(name)
    assert.is_truthy(text:find(name, 1, true), "docs/lua-reference.md says nothing about " .. name)
  end

  --- The names that a source file declares.
  local function mentions_all(file, pattern, format)
    local some = false
    for name in read(file):gmatch(pattern) do
      some = true
      mentions(format:format(name))
    end
    assert.is_true(some, "nothing was found in " .. file)
  end

  it("has every function of the module", function()
    local weir = require "weir"
    for name, value in pairs(weir) do
      mentions("weir." .. name)
      if type(value) == "table" and name ~= "schema" then
        for inner in pairs(value) do
          mentions(("weir.%s.%s"):format(name, inner))
        end
      end
    end
    for name in pairs(weir.schema) do
      mentions(("`s.%s("):format(name))
    end
  end)

  it("has every method of streams, states, events and schemas", function()
    mentions_all("lua/weir/stream.lua", "\nfunction StateStream:(%w+)", "`stream:%s(")
    mentions_all("engine/script/api_state.h", "\n %*     state:(%w+)%(", "`state:%s(")
    mentions_all("lua/weir/state_materialized.lua", "\nfunction State:(%w+)", "`state:%s(")
    mentions_all("lua/weir/state_materialized.lua", "\n  (%w+) = function%(parts%)", "`state.%s`")
    mentions_all("engine/script/api_event.h", "event%.(%l[%l_]+)", "`event.%s`")
    mentions_all("lua/weir/schema.lua", "\nfunction %l+_methods:(%w+)", "`:%s(")
  end)

  it("has every option of weir.stream and weir.MaterializedState", function()
    local weir = require "weir"
    for _, call in ipairs{weir.stream, weir.MaterializedState.new} do
      local _, message = pcall(call, {nonsense = 1})
      for name in message:match("expected one of (.*)$"):gmatch("%w+") do
        mentions(("| `%s` |"):format(name))
      end
    end
  end)
end)

describe("docs/operations.md", function()
  local text = read "docs/operations.md" .. read "docs/serve.md"

  local function mentions(name)
    assert.is_truthy(text:find(name, 1, true), "docs/operations.md says nothing about " .. name)
  end

  it("has every command and option", function()
    for command in help("").stdout:gmatch("\n  (%l+)  ") do
      mentions("`weir " .. command)
      for option in help(command).stdout:gmatch("\n  (%-%-[%l-]+)") do
        mentions("`" .. option)
      end
    end
  end)

  it("has every variable of the environment and every section of the configuration", function()
    local config = read "engine/worker/config.c"
    for name in config:gmatch('"(WEIR_[%u_]+)"') do
      mentions("`" .. name .. "`")
    end
    for section in config:match("expected (streams, [%a, ]+)"):gmatch("%a+") do
      if section ~= "or" then
        mentions("`" .. section .. "`")
      end
    end
  end)
end)

it("./dev demo does what README.md shows", function()
  local shown = read("README.md"):match("<!%-%- run: (weir run [^\n]-) %-%->\n```console\n%$ %./dev demo\n")
  assert.is_truthy(shown, "README.md shows no ./dev demo")
  assert.is_truthy(read("dev"):find(shown, 1, true), "./dev demo does not run: " .. shown)
end)

it("README.md and dev name the same packages", function()
  local packages = read("dev"):match('BUILD_PACKAGES="(.-)"')
  for name in read("README.md"):gsub("\\\n", " "):match("apt%-get install ([^\n]+)"):gmatch("%S+") do
    assert.is_truthy((" " .. packages:gsub("[|%s]", " ") .. " "):find(" " .. name .. " ", 1, true), name)
  end
end)
