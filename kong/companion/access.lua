-- traffic-split companion 1: a request that fails on one backend is tried on another one.
-- Written by splitctl companion. Known by its text: leave it as it is.
local patience = 0.5 -- how long, in seconds, a request waits for names at most
local lookups = {} -- the last one of each name, by this worker

-- resolve reports whether Kong finds an address of a name, whichever of its records it takes.
-- kong.dns.toip would take one, and the requests to the name would lack it in their turn.
local function resolve(name, cache_only, depth)
  local records = kong.dns.resolve(name, nil, cache_only)
  local found = records ~= nil and depth < 4
  for _, record in ipairs(found and records or {}) do
    if record.target and not resolve(record.target, cache_only, depth + 1) then -- of SRV
      found = false
    end
  end
  return found
end

-- look_up has a name looked up beside the requests. They wait for it, unless the last time
-- nothing was found.
local function look_up(name, last)
  local lookup = { since = ngx.now(), awaited = not last or last.found }
  lookups[name] = lookup
  local begun = ngx.timer.at(0, function()
    local ok, found = pcall(resolve, name, false, 0)
    lookup.over, lookup.found = true, ok and found
  end)
  if not begun then
    lookup.over = true
  end
end

-- await adds up its pauses: where the whole worker stands still, the lookup does so, too.
local function await(lookup)
  local left = lookup and lookup.awaited and lookup.since + patience - ngx.now() or 0
  local pause = 0.001
  while left > 0 and not lookup.over do
    ngx.sleep(math.min(pause, left))
    left = left - pause
    pause = pause * 2
  end
end

-- is_known reports whether a name is in Kong's cache, the only place where it looks between two
-- tries. While a name is looked up nobody asks for it: with new_dns_client they would wait.
local function is_known(name)
  local lookup = lookups[name]
  return lookup and lookup.found and resolve(name, true, 0)
end

-- known returns those of the tries that have a known name.
local function known(offered)
  local tries, lacks = {}, false
  for _, try in ipairs(offered) do
    if is_known(try.host) then
      tries[#tries + 1] = try
    else
      local last = lookups[try.host]
      if not last or last.over and ngx.now() - last.since >= 1 then
        look_up(try.host, last)
      end
      lacks = true
    end
  end
  if not lacks then
    return tries
  end
  tries = {}
  for _, try in ipairs(offered) do
    await(lookups[try.host])
    if is_known(try.host) then
      tries[#tries + 1] = try
    end
  end
  return tries
end

-- try_next sends the request to the next of the tries. What may fail comes first: then the
-- request goes where it has gone before.
local function try_next(tries, shared)
  local try = table.remove(tries, 1)
  while try and not is_known(try.host) do -- it has expired since
    try = table.remove(tries, 1)
  end
  if not try then -- nginx adds a try for each kept connection that was closed meanwhile
    return
  end
  for name, value in pairs(try.set or {}) do
    ngx.req.set_header(name, value)
  end
  for _, name in ipairs(try.remove or {}) do
    ngx.req.clear_header(name)
  end
  local balancer_data = ngx.ctx.balancer_data
  if not balancer_data.preserve_host then
    ngx.var.upstream_host = "" -- so that Kong makes the request anew
  end
  local failed = balancer_data.tries[balancer_data.try_count - 1]
  shared.traffic_split_tried = shared.traffic_split_tried .. " " .. tostring(failed.code) .. "/" .. try.name
  shared.traffic_split_try = try
  shared.traffic_split_answer = try.answer
  balancer_data.host, balancer_data.port = try.host, try.port
  balancer_data.connect_timeout = try.connect_timeout
  balancer_data.send_timeout = try.send_timeout
  balancer_data.read_timeout = try.read_timeout
end

local kinds = {
  name = "string", host = "string", port = "number",
  connect_timeout = "number", send_timeout = "number", read_timeout = "number",
}

local function offer(offered, shared)
  for _, try in ipairs(offered) do
    for field, kind in pairs(kinds) do
      assert(type(try[field]) == kind, field .. " is no " .. kind)
    end
  end
  local tries = known(offered)
  kong.service.set_retries(#tries)
  kong.service.set_target_retry_callback(function()
    local ok, err = pcall(try_next, tries, shared)
    if not ok then
      kong.log.err("traffic-split companion: ", err)
    end
    return true
  end)
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
  local ok, err = pcall(offer, offered, shared)
  if not ok then
    kong.log.err("traffic-split companion: ", err)
  end
end
