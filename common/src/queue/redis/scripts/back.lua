-- How far back some entries reach: how many there are, and the id of the first.
-- KEYS stream; ARGV where to begin (+ or an id, taken in), how many
local found = redis.call('XREVRANGE', KEYS[1], ARGV[1], '-', 'COUNT', ARGV[2])
if #found == 0 then return { 0 } end
return { #found, found[#found][1] }
