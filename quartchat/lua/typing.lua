-- Pass on that somebody types in a room, at most once a second.
-- KEYS: live, when it was passed on last. ARGV: JSON, ms between two, entries kept
if redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[2]) then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 't', 'typing', 'd', ARGV[1])
end
return 1
