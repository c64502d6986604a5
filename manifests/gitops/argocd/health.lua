-- The health of an IngestionPipeline by the rules of kstatus: what speaks of an older generation says nothing, and
-- Stalled and Reconciling go before Ready. Idle without workers is Healthy. No reason or message is interpreted.
local function progressing(message)
  return { status = "Progressing", message = message }
end

if obj.metadata.deletionTimestamp ~= nil then
  return progressing("Being deleted")
end
if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration == nil then
  return progressing("Waiting for the operator")
end
if obj.metadata.generation ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  return progressing("Waiting for the operator to see the change")
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end

local function holds(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end

local function says(name)
  local condition = conditions[name]
  if condition == nil then
    return ""
  end
  return condition.message or condition.reason or ""
end

if holds("Stalled") then
  return { status = "Degraded", message = says("Stalled") }
end
if holds("Degraded") then
  return { status = "Degraded", message = says("Degraded") }
end
if holds("Reconciling") then
  return progressing(says("Reconciling"))
end
if holds("Ready") and holds("Paused") then
  return { status = "Suspended", message = says("Paused") }
end
if holds("Ready") then
  return { status = "Healthy", message = says("Ready") }
end
return progressing(says("Ready"))
