-- Makes a queue: a stream with one group, and a hash that says what it is.
-- KEYS stream, about; ARGV group, then fields and values of the hash
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'stream' then return 'exists' end
if kind ~= 'none' then return kind end
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], unpack(ARGV, 2))
return 'made'
