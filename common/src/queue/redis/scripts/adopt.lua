-- Takes over what other readers hold and have not been heard of for so long,
-- with how often each was delivered. A reader that has nothing left and was
-- not heard of is struck off.
-- KEYS stream; ARGV group, consumer, idle in ms, most
local stream, group, consumer, idle, most = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local answer, owners, start = {}, {}, '-'
while #answer < most do
  local rows = redis.call('XPENDING', stream, group, 'IDLE', idle, start, '+', 100)
  for _, row in ipairs(rows) do
    -- What we hold ourselves is in our hands, however late we are.
    if row[2] ~= consumer and #answer < most then
      local entry = redis.call('XCLAIM', stream, group, consumer, idle, row[1])[1]
      if entry and entry[2] then answer[#answer + 1] = { entry[1], row[4] + 1, entry[2] } end
      owners[row[2]] = true
    end
  end
  if #rows < 100 then break end
  start = '(' .. rows[#rows][1]
end
for owner in pairs(owners) do
  if #redis.call('XPENDING', stream, group, '-', '+', 1, owner) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', stream, group, owner)
  end
end
return answer
