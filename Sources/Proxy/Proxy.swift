// First file of Proxy; replaced as the room is furnished.
