-- Move a user's read marker forward; never back.
-- KEYS: meta. ARGV: field, number, messages up to it
local was = redis.call('HGET', KEYS[1], ARGV[1])
if not was or tonumber(string.match(was, '^%d+')) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. ARGV[3])
end
return 1
