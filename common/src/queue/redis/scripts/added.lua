-- The end of a transaction that added many entries to a stream: what has no
-- room is taken out again before anybody can see it, and all of it when this
-- batch was done before. PROTOCOL.md, "Many at once".
--
-- KEYS  where the answer to this sender's last batch is kept, the stream,
--       what is noted about it, and, if it has a bound, who waits for room
-- ARGV  batch, how many entries were added, capacity (0: no bound), sender,
--       id of the event that was added last
-- Answers nothing when the entries were not added, whatever kept them out.
local stream, added, capacity = KEYS[2], tonumber(ARGV[2]), tonumber(ARGV[3])

-- The first field of an entry is the id of its event.
local function are_in()
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  return newest[1] and newest[1][2][2] == ARGV[5]
end

local function take_out(count)
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', count)
  for i = 1, #newest do newest[i] = newest[i][1] end
  local out = redis.call('XDEL', stream, unpack(newest))
  -- The stream counts for ever what was once added.
  redis.pcall('HINCRBY', KEYS[3], 'taken_back', out)
end

local function judge()
  if redis.call('EXISTS', stream) == 0 then return string.rep('g2,', added) end
  local depth = redis.pcall('XLEN', stream)
  if type(depth) == 'table' then
    return string.rep('e' .. string.gsub(depth.err, '[,%c]', ' ') .. ',', added)
  end
  if not are_in() then return '' end
  local over = math.max(0, math.min(added, depth - capacity))
  if capacity == 0 or over == 0 then return string.rep('d,', added) end
  take_out(over)
  redis.pcall('SADD', KEYS[4], ARGV[4])
  return string.rep('d,', added - over) .. string.rep('f2,', over)
end

local answered = redis.call('GET', KEYS[1])
if answered then
  local batch, answer = string.match(answered, '^(%d+):(.*)$')
  if tonumber(batch) >= tonumber(ARGV[1]) then
    if redis.call('TYPE', stream).ok == 'stream' and are_in() then take_out(added) end
    return answer
  end
end
local answer = string.sub(judge(), 1, -2)
if answer == '' then return answer end
redis.pcall('SET', KEYS[1], ARGV[1] .. ':' .. answer, 'EX', 900)
return answer
