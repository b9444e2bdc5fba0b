-- New orders, each with an id of its own: BENCH_LINES lines an order, for BENCH_ITEMS items from BENCH_FIRST on. With
-- BENCH_ORDERS above 1 a request carries that many, as POST /v1/promises:batch takes them.
local key, items = os.getenv("BENCH_KEY"), tonumber(os.getenv("BENCH_ITEMS"))
local first, lines = tonumber(os.getenv("BENCH_FIRST")), tonumber(os.getenv("BENCH_LINES"))
local orders = tonumber(os.getenv("BENCH_ORDERS"))
local tag, path, out = os.getenv("BENCH_TAG"), os.getenv("BENCH_PATH"), os.getenv("BENCH_OUT")
local zone = os.getenv("BENCH_ZONE")
local started = tostring(os.time()) .. tostring(math.floor(os.clock() * 1e6))
local counter, picked = 0, 0
local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. key }

local function order()
  counter = counter + 1
  local wanted = {}
  for line = 1, lines do
    picked = picked + 1
    wanted[line] = string.format('{"line":"%d","sku":"BENCH-%04d","quantity":1,"unit_price":"2.55"}',
      line, (picked * 7919) % items + first)
  end
  return string.format(
    '{"order":{"source":"bench","order_id":"%s-%s-%d"},"customer":{"system":"bench","id":"C-%d"},'
      .. '"ship_to":{"zone":"%s"},"lines":[%s]}',
    tag, started, counter, counter % 100 + 1, zone, table.concat(wanted, ","))
end

request = function()
  local body
  if orders == 1 then
    body = order()
  else
    local all = {}
    for number = 1, orders do all[number] = order() end
    body = '{"items":[' .. table.concat(all, ",") .. "]}"
  end
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

