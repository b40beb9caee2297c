-- traffic-split companion 1: a request that fails on one backend is tried on another one.
-- Written by splitctl companion. Known by its text: leave it as it is.
local asked = {} -- when this worker has last had a name looked up

-- Between two tries Kong looks names up in its cache only. Only the first request that needs
-- a name waits for it: an address that DNS does not tell must not keep the others.
local function is_known(host, port)
  if kong.dns.toip(host, port, true) then
    return true
  end
  local before, now = asked[host], ngx.now()
  if before and now - before < 1 then
    return false
  end
  asked[host] = now
  if not before then
    return kong.dns.toip(host, port)
  end
  ngx.timer.at(0, function()
    kong.dns.toip(host, port)
  end)
  return false
end

return function()
  local shared = kong.ctx.shared
  local offered = shared.traffic_split_retry
  if not offered and not shared.traffic_split_answer then
    return
  end
  shared.traffic_split_tried = "1"
  if not offered then
    return
  end

  local tries = {}
  for _, try in ipairs(offered) do
    if is_known(try.host, try.port) then
      tries[#tries + 1] = try
    end
  end
  kong.service.set_retries(#tries)
  kong.service.set_target_retry_callback(function()
    local try = table.remove(tries, 1)
    while try and not kong.dns.toip(try.host, try.port, true) do -- it has expired since
      try = table.remove(tries, 1)
    end
    if not try then -- nginx adds a try for each kept connection that was closed meanwhile
      return true
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
end
