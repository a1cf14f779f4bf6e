-- A reader comes. Those that hold nothing and were not heard of for an hour are
-- struck off. With memory full it is made by its first message.
-- KEYS stream; ARGV group, consumer
redis.pcall('XGROUP', 'CREATECONSUMER', KEYS[1], ARGV[1], ARGV[2])
local readers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
for _, one in ipairs(readers) do
  local reader = {}
  for i = 1, #one, 2 do reader[one[i]] = one[i + 1] end
  if reader['pending'] == 0 and reader['idle'] > 3600000 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], reader['name'])
  end
end
return 1
