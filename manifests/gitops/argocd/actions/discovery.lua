-- One of the two is offered: the one that changes something.
local paused = obj.spec ~= nil and obj.spec.paused == true
local actions = {}
actions["pause"] = { ["disabled"] = paused, ["iconClass"] = "fa fa-fw fa-pause", ["displayName"] = "Pause" }
actions["resume"] = { ["disabled"] = not paused, ["iconClass"] = "fa fa-fw fa-play", ["displayName"] = "Resume" }
return actions
