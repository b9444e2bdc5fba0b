-- One new order a request: POST of a one-line order for one of BENCH_ITEMS items from BENCH_FIRST on, each with an id
-- of its own.
local key, items = os.getenv("BENCH_KEY"), tonumber(os.getenv("BENCH_ITEMS"))
local first = tonumber(os.getenv("BENCH_FIRST"))
local tag, path, out = os.getenv("BENCH_TAG"), os.getenv("BENCH_PATH"), os.getenv("BENCH_OUT")
local started = tostring(os.time()) .. tostring(math.floor(os.clock() * 1e6))
local counter = 0
local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. key }

request = function()
  counter = counter + 1
  local item = (counter * 7919) % items + first
  local body = string.format(
    '{"order":{"source":"bench","order_id":"%s-%s-%d"},"customer":{"system":"bench","id":"C-%d"},'
      .. '"ship_to":{"zone":"GB"},"lines":[{"line":"1","sku":"BENCH-%04d","quantity":1,"unit_price":"2.55"}]}',
    tag, started, counter, counter % 100 + 1, item)
  return wrk.format("POST", path, headers, body)
end

done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local file = assert(io.open(out, "w"))
  file:write(string.format(
    '{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed))
  file:close()
end
