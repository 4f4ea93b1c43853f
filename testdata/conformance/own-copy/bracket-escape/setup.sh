umask 022
echo f > 'arr[0].txt'; echo g > arr0.txt
