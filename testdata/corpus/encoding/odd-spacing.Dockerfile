

   # leading blanks before a comment


   FROM    alpine:3.20     AS    spaced   


      RUN      echo    "many   blanks"   


   ENV   KEY   a   value with   inner blanks   
  env   K2=v2    K3="v 3"    
 MAINTAINER    Somebody Else   <else@example.org>   
   WORKDIR     /a/path with blanks/x   
	CMD      echo done   
