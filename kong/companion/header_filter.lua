-- traffic-split companion 1: the answer, and what is logged, name the backend that was tried last.
-- Written by splitctl companion. Known by its text: leave it as it is.
local try = kong.ctx.shared.traffic_split_try
if not try then
  return
end
if try.response_header then
  kong.response.set_header(try.response_header, try.name)
end
if try.logged then
  kong.log.set_serialize_value("traffic_split.backend", try.name)
  kong.log.set_serialize_value("traffic_split.reason", "retry")
end
