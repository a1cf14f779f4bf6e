-- Hand-offs, one after the other, each as a whole or not at all: PROTOCOL.md,
-- "Redis", says what goes in and what comes out.
--
-- KEYS[1]  where the answer to this sender's last batch is kept, so that a
--          batch that is sent again after a broken connection is answered and
--          not done again
-- KEYS[2+] streams and what belongs to them, by number
-- ARGV     batch, group, consumer, then
--          n, n * (stream, wants, messages)                     where it was taken
--          n, n * (stream, wants, otherwise, capacity, policy, ids)  where it goes
--          n, n * (n, words ..., n, places ...)                 shapes of entries
--          n, n * (n, where it was taken ..., joins,
--                  n, n * (where it goes, shape))               forms of hand-offs
--          and for each hand-off:
--          its form
--          the id of each message that is done
--          (instance, parts, claim, passed) of each join that fired
--          for each output a word for each place of its shape
local answered = redis.call('GET', KEYS[1])
if answered then
  local batch, answer = string.match(answered, '^(%d+):(.*)$')
  -- A later one: this came by a connection that broke, and nobody waits for it.
  if tonumber(batch) >= tonumber(ARGV[1]) then return answer end
end
local group, consumer = ARGV[2], ARGV[3]
local at = 4
local function word() at = at + 1; return ARGV[at - 1] end
-- Most numbers come again and again: a look is cheaper than a conversion.
local numbers = setmetatable({}, { __index = function(known, text)
  known[text] = tonumber(text)
  return known[text]
end })
local function number() at = at + 1; return numbers[ARGV[at - 1]] end
local function list(item)
  local all = {}
  for i = 1, number() do all[i] = item() end
  return all
end

local sources = list(function()
  return { stream = KEYS[number()], wants = number(), count = number(), done = {}, spent = {} }
end)
local targets = list(function()
  local key = number()
  return { key = key, stream = KEYS[key], wants = number(), otherwise = number(),
           capacity = number(), policy = word(), ids = number() }
end)
-- As many as a command of a script can have, and some less.
local WORDS_MAX = 7000
-- What many have in common is said once: words cost more than entries do.
local shapes = list(function()
  local shape = { words = list(word), places = list(number) }
  shape.is_long = #shape.words > WORDS_MAX
  return shape
end)
-- Nothing of a hand-off outlives it, so that all of a form share its tables.
local forms = list(function()
  local taken = list(function() return { source = sources[number()], id = '' } end)
  local joins = number()
  local outputs = list(function() return { target = targets[number()], shape = shapes[number()] } end)
  return { taken = taken, joins = joins, outputs = outputs }
end)
local full, is_there, depths = {}, {}, {}

local function read_handoff()
  local form, joins = forms[number()], {}
  for i = 1, #form.taken do form.taken[i].id = word() end
  for i = 1, form.joins do
    joins[i] = { instance = KEYS[number()], parts = KEYS[number()], claim = word(), passed = word() }
  end
  for i = 1, #form.outputs do
    local output = form.outputs[i]
    output.first, output.over = at, nil
    at = at + #output.shape.places
  end
  return form.taken, joins, form.outputs
end

-- The server is asked once for many that are pending, most of which will be
-- those that are done.
local function owns(source, id)
  if source.spent[id] then return false end
  if not source.ours then
    source.ours = {}
    if source.count > 1 then
      local many = redis.pcall('XPENDING', source.stream, group, '-', '+', source.count + 16, consumer)
      if many.err then return false end
      for _, one in ipairs(many) do source.ours[one[1]] = true end
    end
  end
  if source.ours[id] then return true end
  local pending = redis.pcall('XPENDING', source.stream, group, id, id, 1, consumer)
  return not pending.err and #pending > 0
end

local function is_ours(taken)
  for i = 1, #taken do
    if not owns(taken[i].source, taken[i].id) then return false end
  end
  return true
end

local function exists(stream)
  if is_there[stream] == nil then is_there[stream] = redis.call('EXISTS', stream) == 1 end
  return is_there[stream]
end

-- How much is in a stream, once all that is done is taken out of it.
local function depth(stream)
  if not depths[stream] then
    depths[stream] = redis.call('XLEN', stream)
    for _, source in ipairs(sources) do
      if source.stream == stream then depths[stream] = depths[stream] - #source.done end
    end
  end
  return depths[stream]
end

local function changes(stream, by)
  if depths[stream] then depths[stream] = depths[stream] + by end
end

-- Messages that a hand-off takes out of the stream it also sends to.
local function leaving(taken, stream)
  local count = 0
  for i = 1, #taken do if taken[i].source.stream == stream then count = count + 1 end end
  return count
end

local function drop_oldest(stream)
  for _, one in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    for i = 1, #one, 2 do
      if one[i] == 'last-delivered-id' then
        local oldest = redis.call('XRANGE', stream, '(' .. one[i + 1], '+', 'COUNT', 1)
        if #oldest > 0 then changes(stream, -redis.call('XDEL', stream, oldest[1][1])) end
      end
    end
  end
end

-- Why a hand-off cannot be done now or ever; nothing when it can. There is
-- room when there is room for one: what belongs together goes in together.
local function hindrance(taken, outputs)
  for i = 1, #outputs do
    local output = outputs[i]
    local target = output.target
    if output.shape.is_long then return 'eit has too many attributes' end
    output.stream, output.ids = target.stream, target.ids
    if not exists(output.stream) then
      if target.otherwise == 0 or not exists(KEYS[target.otherwise]) then
        return 'g' .. target.key
      end
      output.stream, output.ids = KEYS[target.otherwise], 0
    elseif full[target.key] then
      return 'f' .. target.key
    elseif target.capacity > 0 and depth(output.stream) - leaving(taken, output.stream) >= target.capacity then
      if target.policy == 'block' then
        full[target.key] = true
        if target.wants > 0 then redis.pcall('SADD', KEYS[target.wants], consumer) end
        return 'f' .. target.key
      elseif target.policy == 'reject' then
        return 'r' .. target.key
      end
      output.over = target.policy
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
  if output.over == 'drop-newest' then return end
  if output.over then drop_oldest(output.stream) end
  local words, places, before = output.shape.words, output.shape.places, output.first - 1
  for i = 1, #places do words[places[i]] = ARGV[before + i] end
  -- The first field is the id; its value is the second word.
  if output.ids > 0 and is_known(output.ids, words[2]) then return end
  local added = redis.pcall('XADD', output.stream, 'NOMKSTREAM', '*', unpack(words))
  if type(added) == 'table' and added.err then return added.err end
  changes(output.stream, 1)
  if output.ids > 0 then note_known(output.ids, words[2]) end
end

local function finish(taken, joins)
  for i = 1, #taken do
    local source, id = taken[i].source, taken[i].id
    source.spent[id] = true
    source.done[#source.done + 1] = id
    changes(source.stream, -1)
  end
  for _, join in ipairs(joins) do
    if redis.call('HGET', join.instance, 'fired') == join.claim then
      redis.call('DEL', join.parts)
      redis.pcall('HSET', join.instance, 'done', '1', 'passed', join.passed)
      redis.call('EXPIRE', join.instance, 3600)
    end
  end
end

-- Takes out what is done, and tells who waits for room.
local function take_out()
  for _, source in ipairs(sources) do
    for first = 1, #source.done, 1000 do
      local last = math.min(first + 999, #source.done)
      redis.call('XACK', source.stream, group, unpack(source.done, first, last))
      redis.call('XDEL', source.stream, unpack(source.done, first, last))
    end
    if source.wants > 0 and #source.done > 0 then
      local senders = redis.call('SMEMBERS', KEYS[source.wants])
      for _, sender in ipairs(senders) do
        redis.call('PUBLISH', 'faas.room.' .. sender, source.stream)
      end
      if #senders > 0 then redis.call('DEL', KEYS[source.wants]) end
    end
  end
end

local answers = {}
local function do_next()
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
        if i > 1 then error(redis.error_reply(refused)) end
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
-- Whatever ends it early, what was done before is taken out.
local is_done, why = pcall(function() while ARGV[at] do do_next() end end)
take_out()
if not is_done then return redis.error_reply(type(why) == 'table' and why.err or why) end
local answer = table.concat(answers, ',')
redis.pcall('SET', KEYS[1], ARGV[1] .. ':' .. answer, 'EX', 900)
return answer
