-- Workers finish what they have and go; uploads are taken and wait.
if obj.spec == nil then
  obj.spec = {}
end
obj.spec.paused = true
return obj
