// First file of ProxyTests; replaced as the room is furnished.
