-- traffic-split companion 1: a request that fails on one backend is tried on another one.
-- Written by splitctl companion. Known by its text: leave it as it is.
local shared = kong.ctx.shared
local offered = shared.traffic_split_retry
if not offered and not shared.traffic_split_answer then
  return
end
shared.traffic_split_tried = "1"

-- For a try after the first, Kong looks names up in its cache only: they have to be there.
local tries = {}
for _, try in ipairs(offered or {}) do
  if kong.dns.toip(try.host, try.port) then
    tries[#tries + 1] = try
  end
end
if #tries == 0 then
  return
end

kong.service.set_retries(#tries)
kong.service.set_target_retry_callback(function()
  local try = table.remove(tries, 1)
  while try and not kong.dns.toip(try.host, try.port, true) do -- it has expired since
    try = table.remove(tries, 1)
  end
  if not try then
    return nil, "no other backend that is in the cache of DNS" -- 503
  end
  local balancer_data = ngx.ctx.balancer_data
  balancer_data.host, balancer_data.port = try.host, try.port
  balancer_data.connect_timeout = try.connect_timeout
  balancer_data.send_timeout = try.send_timeout
  balancer_data.read_timeout = try.read_timeout
  for name, value in pairs(try.set or {}) do
    ngx.req.set_header(name, value)
  end
  for _, name in ipairs(try.remove or {}) do
    ngx.req.clear_header(name)
  end
  if not balancer_data.preserve_host then
    ngx.var.upstream_host = "" -- so that Kong makes the request anew
  end
  shared.traffic_split_tried = shared.traffic_split_tried .. " " .. try.name
  shared.traffic_split_try = try
  shared.traffic_split_answer = try.answer
  return true
end)
