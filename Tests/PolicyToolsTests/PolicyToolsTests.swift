// First file of PolicyToolsTests; replaced as the room is furnished.
