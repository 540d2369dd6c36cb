// First file of BytesTests; replaced as the room is furnished.
