-- What a queue looks like: kind, length, groups with what they hold, what we
-- noted about it, and the readers heard of lately. What readers have that are
-- gone, or nobody has, is held by none.
-- KEYS stream, about; ARGV group, idle in ms that counts as gone, idle in ms
-- after which others take over, the name of nobody
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'stream' then return { kind } end
local readers, held, groups = 0, 0, {}
for _, one in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #one, 2 do group[one[i]] = one[i + 1] end
  groups[#groups + 1] = group['name']
  if group['name'] == ARGV[1] then held = group['pending'] end
end
if #groups > 0 then
  for _, one in ipairs(redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local reader = {}
    if type(one) == 'table' then
      for i = 1, #one, 2 do reader[one[i]] = one[i + 1] end
      local idle = reader['idle'] or 0
      local is_nobody = reader['name'] == ARGV[4]
      if idle < tonumber(ARGV[2]) and not is_nobody then readers = readers + 1 end
      if is_nobody or idle >= math.max(tonumber(ARGV[2]), tonumber(ARGV[3])) then
        held = held - (reader['pending'] or 0)
      end
    end
  end
end
local added = ''
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'entries-added' then added = info[i + 1] end
end
if added ~= '' then added = added - (redis.call('HGET', KEYS[2], 'taken_back') or 0) end
return { kind, redis.call('XLEN', KEYS[1]), held, readers, groups, redis.call('HGETALL', KEYS[2]), added }
