-- What a database holds of a stream, as the helpers of each sink give it: rows as text, "type/key value" a line,
-- sorted, and the place {sequence, epoch, skip, offset, notes}, nil where there is none yet.

local held = {}

--- From the answer of one query: lines "1|type/key value", and "0|sequence|epoch|skip|offset|notes".
function held.parse(text)
  local rows, place = {}, nil
  for kind, rest in (text .. "\n"):gmatch "(%d)|([^\n]*)\n" do
    if kind == "1" then
      rows[#rows + 1] = rest
    else
      local sequence, epoch, skip, offset, notes = rest:match "^(%d+)|(%d+)|(%d+)|([^|]*)|(.*)$"
      place = {sequence = tonumber(sequence), epoch = tonumber(epoch), skip = tonumber(skip), offset = offset,
        notes = notes}
    end
  end
  table.sort(rows)
  return table.concat(rows, "\n"), place
end

--- The one query for it: place and row are selects of such a line, row with the type in hex, an expression for the
--- value and the quoted table to be filled in. tables: {type in hex, "1" where it has a column `data`, quoted table}
--- each; the others have the columns of support.changes, whose value is `cells`.
function held.query(options)
  local selects = {options.place}
  for _, each in ipairs(options.tables) do
    selects[#selects + 1] = options.row:format(each[1], each[2] == "1" and "data" or options.cells, each[3])
  end
  return table.concat(selects, " UNION ALL ")
end

return held
