// First file of JOSETests; replaced as the room is furnished.
