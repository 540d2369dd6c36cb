// First file of AdminTests; replaced as the room is furnished.
