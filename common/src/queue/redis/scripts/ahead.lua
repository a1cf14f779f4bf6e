-- How many of some entries there are, and the id of the last of them.
-- KEYS stream; ARGV where to begin and to end, as XRANGE says it, how many
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
if #found == 0 then return { 0 } end
return { #found, found[#found][1] }
