-- Say that a process lives; return the master's reign, how many users the process has here,
-- and processes that have said nothing for too long, each to one caller at a time.
-- KEYS: alive (process -> until when, ms), the process's users
-- ARGV: process, ms that it is good for, ms that a caller gets to bury one
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%d', now + ARGV[2]), ARGV[1])
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', now))
for _, process in ipairs(dead) do
  redis.call('ZADD', KEYS[1], string.format('%d', now + ARGV[3]), process)
end
return {epoch(), redis.call('SCARD', KEYS[2]), dead}
