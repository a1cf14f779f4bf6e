-- Hand-offs, one after the other, each as a whole or not at all: PROTOCOL.md,
-- "Redis", says what goes in and what comes out.
--
-- KEYS[1]  where the answer to this sender's last batch is kept, so that a
--          batch that is sent again after a broken connection is answered and
--          not done again
-- KEYS[2+] streams and what belongs to them, by number
-- ARGV     batch, group, consumer, then for each hand-off:
--          n, n * (stream, wants, id)                           what is done
--          n, n * (instance, parts, claim, passed)              joins that fired
--          n, n * (stream, wants, otherwise, capacity, policy, ids, fields, ...)
local answered = redis.call('GET', KEYS[1])
if answered then
  local batch, answer = string.match(answered, '^(%d+):(.*)$')
  if batch == ARGV[1] then return answer end
end
local group, consumer = ARGV[2], ARGV[3]
local at = 4
local function word() at = at + 1; return ARGV[at - 1] end
local function number() return tonumber(word()) end
local full = {}

local function read_handoff()
  local taken, joins, outputs = {}, {}, {}
  for i = 1, number() do
    taken[i] = { stream = KEYS[number()], wants = number(), id = word() }
  end
  for i = 1, number() do
    joins[i] = { instance = KEYS[number()], parts = KEYS[number()], claim = word(), passed = word() }
  end
  for i = 1, number() do
    local output = { key = number(), wants = number(), otherwise = number(), capacity = number(),
                     policy = word(), ids = number() }
    local count = number()
    output.first, output.last = at, at + count - 1
    at = at + count
    outputs[i] = output
  end
  return taken, joins, outputs
end

local function is_ours(taken)
  for _, one in ipairs(taken) do
    local pending = redis.pcall('XPENDING', one.stream, group, one.id, one.id, 1, consumer)
    if pending.err or #pending == 0 then return false end
  end
  return true
end

-- Messages that a hand-off takes out of the stream it also sends to.
local function leaving(taken, stream)
  local count = 0
  for _, one in ipairs(taken) do if one.stream == stream then count = count + 1 end end
  return count
end

local function drop_oldest(stream)
  for _, one in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    for i = 1, #one, 2 do
      if one[i] == 'last-delivered-id' then
        local oldest = redis.call('XRANGE', stream, '(' .. one[i + 1], '+', 'COUNT', 1)
        if #oldest > 0 then redis.call('XDEL', stream, oldest[1][1]) end
      end
    end
  end
end

-- Why a hand-off cannot be done now or ever; nothing when it can. There is
-- room when there is room for one: what belongs together goes in together.
local function hindrance(taken, outputs)
  for _, output in ipairs(outputs) do
    local stream = KEYS[output.key]
    if redis.call('EXISTS', stream) == 0 then
      if output.otherwise == 0 or redis.call('EXISTS', KEYS[output.otherwise]) == 0 then
        return 'g' .. output.key
      end
      output.key, output.capacity, output.ids = output.otherwise, 0, 0
    elseif full[output.key] then
      return 'f' .. output.key
    elseif output.capacity > 0 then
      local depth = redis.call('XLEN', stream) - leaving(taken, stream)
      if depth >= output.capacity then
        if output.policy == 'block' then
          full[output.key] = true
          if output.wants > 0 then redis.pcall('SADD', KEYS[output.wants], consumer) end
          return 'f' .. output.key
        elseif output.policy == 'reject' then
          return 'r' .. output.key
        end
        output.is_over = true
      end
    end
  end
end

-- Ids that came lately, in two generations, so that the window has an end.
local function is_known(ids, id)
  return redis.call('HEXISTS', KEYS[ids], id) == 1 or redis.call('HEXISTS', KEYS[ids + 1], id) == 1
end

local function note_known(ids, id)
  redis.pcall('HSET', KEYS[ids], id, '')
  if redis.call('HLEN', KEYS[ids]) > 32768 then redis.call('RENAME', KEYS[ids], KEYS[ids + 1]) end
end

local function send(output)
  if output.is_over then
    if output.policy == 'drop-newest' then return end
    drop_oldest(KEYS[output.key])
  end
  -- The first field is the id; ARGV[first + 1] is its value.
  if output.ids > 0 and is_known(output.ids, ARGV[output.first + 1]) then return end
  local added = redis.pcall('XADD', KEYS[output.key], 'NOMKSTREAM', '*',
    unpack(ARGV, output.first, output.last))
  if type(added) == 'table' and added.err then return added.err end
  if output.ids > 0 then note_known(output.ids, ARGV[output.first + 1]) end
end

local function finish(taken, joins)
  for _, one in ipairs(taken) do
    redis.call('XACK', one.stream, group, one.id)
    redis.call('XDEL', one.stream, one.id)
    if one.wants > 0 then
      for _, sender in ipairs(redis.call('SMEMBERS', KEYS[one.wants])) do
        redis.call('PUBLISH', 'faas.room.' .. sender, one.stream)
      end
      redis.call('DEL', KEYS[one.wants])
    end
  end
  for _, join in ipairs(joins) do
    if redis.call('HGET', join.instance, 'fired') == join.claim then
      redis.call('DEL', join.parts)
      redis.pcall('HSET', join.instance, 'done', '1', 'passed', join.passed)
      redis.call('EXPIRE', join.instance, 3600)
    end
  end
end

local answers = {}
while ARGV[at] do
  local taken, joins, outputs = read_handoff()
  local answer
  if not is_ours(taken) then
    answer = 'v'
  else
    answer = hindrance(taken, outputs)
    for i = 1, answer and 0 or #outputs do
      local refused = send(outputs[i])
      -- Memory is full or it is not: the server decides once for a script.
      if refused then
        if i > 1 then return redis.error_reply(refused) end
        local said = string.gsub(refused, '[,%c]', ' ')
        local passes = string.find(said, 'OOM') or string.find(said, 'NOREPLICAS')
          or string.find(said, 'MISCONF') or string.find(said, 'READONLY')
        answer = (passes and 'o' or 'e') .. said
        break
      end
    end
    if not answer then
      finish(taken, joins)
      answer = 'd'
    end
  end
  answers[#answers + 1] = answer
end
local answer = table.concat(answers, ',')
redis.pcall('SET', KEYS[1], ARGV[1] .. ':' .. answer, 'EX', 900)
return answer
