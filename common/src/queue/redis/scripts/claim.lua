-- Keeps what is in work from being taken over, or gives it back, to the name of
-- nobody: an entry that another reader has by now stays there.
-- KEYS streams; ARGV group, consumer, 'keep' or idle in ms to give it back with,
-- the name of nobody, then for each entry: number of its stream, id, times
-- delivered. Answers how many others have.
local group, consumer, idle, nobody = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local lost = 0
for i = 5, #ARGV, 3 do
  local stream, id, count = KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2]
  local pending = redis.pcall('XPENDING', stream, group, id, id, 1, consumer)
  if pending.err then
    -- The stream is gone.
  elseif #pending == 0 then
    -- A late hand-off of it will be refused.
    lost = lost + 1
  elseif idle == 'keep' then
    redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', count, 'JUSTID')
  else
    redis.call('XCLAIM', stream, group, nobody, 0, id, 'IDLE', idle, 'RETRYCOUNT', count, 'JUSTID')
  end
end
return lost
