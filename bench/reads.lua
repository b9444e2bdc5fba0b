-- Availability of one of BENCH_ITEMS items a request; a path that ends in ":quick" is asked by POST.
local key, items = os.getenv("BENCH_KEY"), tonumber(os.getenv("BENCH_ITEMS"))
local path, out = os.getenv("BENCH_PATH"), os.getenv("BENCH_OUT")
local quick = path:sub(-6) == ":quick"
local counter = 0
local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. key }

request = function()
  counter = counter + 1
  local sku = string.format("BENCH-%04d", (counter * 7919) % items + 1)
  if quick then
    return wrk.format("POST", path, headers, string.format('{"items":[{"sku":"%s","zone":"GB"}]}', sku))
  end
  return wrk.format("GET", path .. "?sku=" .. sku, headers)
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
