-- Takes over what readers left that have not been heard of for so long, with
-- how often each was delivered.
-- KEYS stream; ARGV group, consumer, idle in ms, most
local found = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], '0-0', 'COUNT', ARGV[4])
local answer = {}
for _, entry in ipairs(found[2]) do
  if entry and entry[2] then
    local pending = redis.call('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)
    answer[#answer + 1] = { entry[1], pending[1] and pending[1][4] or 1, entry[2] }
  end
end
return answer
