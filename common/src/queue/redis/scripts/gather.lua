-- A part, or a token, comes to its join: the machine of queue/gather.rs on a
-- server. A share is paths from the whole, texts of 0 and 1; what has come
-- back is kept as paths whose siblings have not.
--
-- KEYS  instance, parts
-- ARGV  claim, of (0: all), token ('', absent, failed), id, event, control,
--       seconds to keep it, paths
local instance, parts = KEYS[1], KEYS[2]
local claim, of, token, id, event, control = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local function is_covered(path)
  for length = 0, #path do
    if redis.call('HEXISTS', instance, 'c:' .. string.sub(path, 1, length)) == 1 then return true end
  end
  return false
end

local function cover(path)
  if is_covered(path) then return end
  while path ~= '' do
    local sibling = string.sub(path, 1, -2) .. (string.sub(path, -1) == '0' and '1' or '0')
    if redis.call('HDEL', instance, 'c:' .. sibling) == 0 then break end
    path = string.sub(path, 1, -2)
  end
  redis.call('HSET', instance, 'c:' .. path, '')
end

local function all_parts(word)
  local answer = { word, redis.call('HGET', instance, 'failed') or '', redis.call('HGET', instance, 'short') or '' }
  for _, one in ipairs(redis.call('HGETALL', parts)) do answer[#answer + 1] = one end
  return answer
end

for i = 8, #ARGV do cover(ARGV[i]) end
if token == 'failed' then redis.call('HSET', instance, 'failed', '1') end
local fired = redis.call('HGET', instance, 'fired')
local answer = { 'kept' }
if fired then
  if redis.call('HEXISTS', instance, 'done') == 1 then
    answer = { 'late', redis.call('HGET', instance, 'passed') }
  elseif fired == claim then
    answer = all_parts('fires')
  else
    answer = all_parts('late')
  end
elseif redis.call('HEXISTS', instance, 'closed') == 1 then
  answer = { 'late', '' }
else
  if token == '' then
    if redis.call('HSETNX', parts, 'b:' .. id, event) == 1 then
      redis.call('HINCRBY', instance, 'n', 1)
    elseif redis.call('HGET', parts, 'b:' .. id) ~= event then
      -- The same once more, cut from its parent in another way.
      redis.call('HSETNX', parts, 'x:' .. redis.sha1hex(control) .. ':' .. id, event)
    end
  end
  local count = tonumber(redis.call('HGET', instance, 'n') or '0')
  local is_whole = redis.call('HEXISTS', instance, 'c:') == 1
  local is_enough = of > 0 and count >= of
  if count > 0 and (is_enough or is_whole) then
    redis.call('HSET', instance, 'fired', claim, 'short', (of > 0 and not is_enough) and '1' or '')
    answer = all_parts('fires')
  elseif is_whole then
    redis.call('HSET', instance, 'closed', '1')
  end
end
redis.call('EXPIRE', instance, ARGV[7])
redis.call('EXPIRE', parts, ARGV[7])
return answer
