# Stdin is {"text": "..."}; -F of the runtime makes a field of each word.
{
  for (i = 3; i <= NF; ++i) if (length($i) > length(longest)) longest = $i
}
END { print longest }
