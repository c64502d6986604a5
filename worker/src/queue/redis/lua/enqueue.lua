-- Adds an entry for each message that has none, waiting, leased or delayed. ARGV: group, (message, lane)...
local added = 0
for i = 2, #ARGV, 2 do
  if not has_entry(ARGV[i]) then
    add(ARGV[i + 1], ARGV[i])
    added = added + 1
  end
end
return added
