-- traffic-split companion 1: the answer has the headers of the backend that has sent it, and it
-- and the log name the one that was tried last.
-- Written by splitctl companion. Known by its text: leave it as it is.
local function change(shared)
  local try, answer = shared.traffic_split_try, shared.traffic_split_answer
  if try and try.response_header then
    kong.response.set_header(try.response_header, try.name)
  end
  if try and try.logged then
    kong.log.set_serialize_value("traffic_split.backend", try.name)
    kong.log.set_serialize_value("traffic_split.reason", "retry")
  end
  if answer and kong.response.get_source() == "service" then
    for name, value in pairs(answer.set) do
      kong.response.set_header(name, value)
    end
    for _, name in ipairs(answer.remove) do
      kong.response.clear_header(name)
    end
  end
end

return function()
  local ok, err = pcall(change, kong.ctx.shared)
  if not ok then
    kong.log.err("traffic-split companion: ", err)
  end
end
